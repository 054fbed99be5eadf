"""Text for a terminal, a shell, Markdown and other readers: escaped, wrapped and printed."""
