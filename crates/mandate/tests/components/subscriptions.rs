//! What was ordered is billed, also after billing's database was lost.

use api::{
    billing::{GetBill, PutPriceBook},
    prices::PriceBook,
};

use crate::{
    orders::{complete, order},
    world::{PRICES, eventually},
};

stories! {
    async fn billing_is_told_again_what_it_has_lost(world: &World) {
        world.publish("forum", "first").await;
        let ada = world.sign_up("ada").await;
        let place = order(ada.account, "bakery.localhost", &["polls"]);
        let order = complete(&ada, ada.client.call(place).await.unwrap()).await;
        for table in ["subscription", "cycle", "price_book", "price_service"] {
            db::query(&format!("delete from {table}")).run(&world.billing).await.unwrap();
        }
        let book = PriceBook::parse("prices.toml", &PRICES.replace("NAME", "forum")).unwrap();
        let put = PutPriceBook { service: book.service.clone(), book, words: None };
        world.component("releases").call(put).await.unwrap();
        // Longer than a round takes; the session ends meanwhile.
        world.clock.advance(std::time::Duration::from_hours(24));
        let ada = world.sign_in_again(&ada, "ada").await;
        let ask = || async {
            let get = GetBill { account: ada.account, month: None };
            ada.client.call(get).await.unwrap()
        };
        let bill = eventually("it is billed again", ask, |bill| !bill.lines.is_empty()).await;
        let plan = &bill.lines[0];
        assert!(plan.instance == order.instance && plan.line.contains(".plan."), "{plan:?}");
        // From the order on, and not from when it was noticed.
        assert_eq!(plan.quantity, types::Amount::fraction(1, 31).unwrap());
    }
}
