"""Import of published folders into a store. No tasks."""
