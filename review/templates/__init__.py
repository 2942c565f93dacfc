"""The pages' HTML and CSS."""
