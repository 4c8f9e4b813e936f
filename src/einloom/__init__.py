"""einloom: which accelerator should I build for this computation, and how should the computation run on it?"""
