"""EC2: instances by EC2 Fleet, through boto3 in threads of its own."""
