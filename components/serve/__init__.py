"""The champion behind HTTP: one user's candidates in one request, and the newest approved version without a restart."""
