"""What shows this project to people: the pictures of its pages, and the script that draws them."""
