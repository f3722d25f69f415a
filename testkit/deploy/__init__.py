"""What holds the files of `configs/deploy`, the Dockerfile and docker-compose.yml against the code."""
