"""What spans several stages."""
