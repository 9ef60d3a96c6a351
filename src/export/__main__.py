from src.command import enter
from src.export.command import main

if __name__ == "__main__":
    enter(main)
