"""EC2 on a laptop: moto's server with switches for what goes wrong, and a joiner that makes its instances nodes."""
