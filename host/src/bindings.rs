//! The only place with `bindgen!`: the shared types, and the traits of the functions that never
//! wait.
//!
//! All functions are registered in [`crate::linker`].

wasmtime::component::bindgen!({
    path: "../wit",
    inline: r#"
        package sandsock:host;

        world bindings {
            import sandsock:socket/types@0.1.0;
            import sandsock:socket/descriptors@0.1.0;
            import sandsock:socket/syscalls@0.1.0;
            import sandsock:socket/clock@0.1.0;
            import sandsock:socket/interrupts@0.1.0;
        }
    "#,
    world: "sandsock:host/bindings",
    imports: { default: trappable },
    trappable_error_type: {
        "sandsock:socket/types.error" => crate::error::Fault,
    },
    with: {
        "sandsock:socket/descriptors.descriptor": crate::descriptor::Descriptor,
    },
});
