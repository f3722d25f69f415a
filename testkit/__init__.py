"""What tests of Groundswell and of parts written for it stand on."""
