"""One face and the edits on it: state in, pictures and receipts out, recipes that replay it."""
