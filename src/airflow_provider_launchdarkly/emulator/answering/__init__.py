"""What each operation does with the world, by kind of resource: a call in, a reply out."""
