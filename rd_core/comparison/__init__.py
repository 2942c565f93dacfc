"""Several methods on the same labelled images: which one is named, how sure that is, and what is said of each."""
