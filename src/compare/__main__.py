from src.compare.command import main
from src.config.door import enter

if __name__ == "__main__":
    enter(main)
