"""Every branch of ours that asks for a GPU, taken on a stand-in for one.

What is sent to "cuda" stays in main memory and is computed by the processor, so that a run on the
stand-in must end in the numbers of a run on the CPU.
"""
