"""What was promoted and when: the lines of the history, and what they come to for a person."""
