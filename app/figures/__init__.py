"""What goes on in the farm, in numbers: as it is, and as it was a minute, an hour, a month ago."""
