"""What if: the farm played forward by the rules, in a process of its own."""
