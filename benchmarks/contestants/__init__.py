"""Who is measured: this tool and its peers, each in the way it is used best."""
