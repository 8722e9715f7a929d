"""What the server adds between MONAI Label's HTTP and the package: studies, clicks, answers, guards."""
