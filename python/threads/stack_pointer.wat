;; Reads and sets the stack pointer that all side modules of a component share. Rust has no way to reach that global.
(module
  (@dylink.0 (mem-info (memory 0 0) (table 0 0)))
  (import "env" "memory" (memory 0))
  (import "env" "__stack_pointer" (global $stack_pointer (mut i32)))
  (func (export "sandsock_stack_pointer") (result i32)
    global.get $stack_pointer)
  (func (export "sandsock_set_stack_pointer") (param i32)
    local.get 0
    global.set $stack_pointer))
