"""What was found, as Markdown, as JSON and as a picture."""
