from src.command import enter
from src.landscape.command import main

if __name__ == "__main__":
    enter(main)
