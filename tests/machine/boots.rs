//! Boots that go well: the first, one after a reboot, one with other user data, and the way down.

use monopod_testrig::RealMachine;

use super::*;

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn user_data_in_one_healthy_container_out_with_nobody_logged_in() {
    let machine = RealMachine::new();
    machine.aws().stack("shop-42", "AppServer");
    let secret = machine.aws().encrypt("canary-database-password");
    machine.set_user_data(
        user_data(&machine, "web")
            .web()
            .line("notify_cfn: {stack: shop-42, resource: AppServer}")
            .env(&[("DB_PASSWORD", &secret)])
            .text(),
    );
    machine.boot();
    machine.wait_ready(BOOT);
    let container = the_container(&machine);
    assert_eq!(machine.http_get(8080, "/health").unwrap().status, 200);
    println!("{}", machine.console());
    println!("{}", machine.run_ok(&["systemd-analyze"]));
    println!("{}", machine.journal("monopod"));
    println!("{}", id(&container));
    println!("{:#}", machine.status());
    let begun = std::time::Instant::now();
    machine.power_off(DOWN);
    println!("off in {:?}", begun.elapsed());
    println!("{}", machine.console());
}
