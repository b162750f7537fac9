"""What a run did and which models it made, kept by MLflow. Nothing else of the project imports MLflow."""
