from src.command import enter
from src.find_lr.command import main

if __name__ == "__main__":
    enter(main)
