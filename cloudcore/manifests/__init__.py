"""What a cluster needs for CloudCore, as Kubernetes objects; ``cloudcore manifests`` prints them for kubectl apply."""
