"""What grades this scenario; none of it reaches a candidate."""
