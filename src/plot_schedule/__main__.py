from src.command import enter
from src.plot_schedule.command import main

if __name__ == "__main__":
    enter(main)
