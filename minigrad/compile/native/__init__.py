"""Native code for plans, by LLVM. Imported only when a plan is compiled."""
