"""What the request log says: whether a challenger does better, and whether serving gets what training had."""
