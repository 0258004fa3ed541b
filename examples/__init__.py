"""What a farm can do: a demo on one machine, and its renderers."""
