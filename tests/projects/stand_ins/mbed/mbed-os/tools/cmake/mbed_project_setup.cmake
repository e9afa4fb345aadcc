message("included")
