//! A good component that is no plugin of this system: it exports another world.

wit_bindgen::generate!({
    inline: "
        package example:greeter@1.0.0;
        world greeter { export greet: func(name: string) -> string; }
    ",
    world: "greeter",
});

struct Greeter;

impl Guest for Greeter {
    fn greet(name: String) -> String {
        format!("hello, {name}")
    }
}

export!(Greeter);
