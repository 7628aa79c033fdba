from cache import *  # for type checkers only: the installed package maps cache/ to rewriter.cache
