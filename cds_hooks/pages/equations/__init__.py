"""The pages /equations/ID of published equations."""
