from src.config.door import enter
from src.find_lr.command import main

if __name__ == "__main__":
    enter(main)
