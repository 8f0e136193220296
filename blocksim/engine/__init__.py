"""What reads a trace: the interpreter, the executor and the scheduler."""
