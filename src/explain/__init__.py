"""What a run's network sees in pictures of one's own."""
