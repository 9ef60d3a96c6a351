from src.config.door import enter
from src.landscape.command import main

if __name__ == "__main__":
    enter(main)
