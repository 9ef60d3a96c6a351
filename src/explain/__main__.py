from src.command import enter
from src.explain.command import main

if __name__ == "__main__":
    enter(main)
