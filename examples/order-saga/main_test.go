package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
)

func TestStory(t *testing.T) {
	t.Parallel()
	var out strings.Builder

	require.NoError(t, run(t.Context(), &out))

	require.Equal(t, `order 1 of ann: paid 
order 2 of bob: cancelled not enough money
order 3 of ann: cancelled not enough money
`, out.String())
}

var placed = Placed{Item: "cup", Customer: "ann", Count: 2, Cents: 800}

func TestOrder(t *testing.T) {
	t.Parallel()

	hold.Sent(t, orders, placed).ID("7").
		Replies(Stock{Left: 3}).
		Then(Held{}).
		Sends(overdue.To("7", Overdue{}).After(PaymentTime).Key("payment"))
	hold.Sent(t, orders, placed).
		Fails(ErrSoldOut).
		Then(Cancelled{Reason: "sold out"}).
		Sends()
	pay.Given(t, orders, placed, Held{}).
		When(Pay{}).
		Then(Paying{}).
		Sends(charge.To("ann", Charge{Cents: 800})).
		Cancels("payment")
	charge.Sent(t, orders, placed, Held{}, Paying{}).
		Fails(ErrNoMoney).
		Then(Undoing{Reason: "not enough money"}).
		Sends(release.To("cup", Release{Count: 2}))
	pay.Given(t, orders, placed).
		When(Pay{}).
		Fails(ErrNotHeld)
}

func TestBuyer(t *testing.T) {
	t.Parallel()

	actors.Hears[Stocked](t, buyers, Seen{5}).From("stock-cup").ID("cup").
		When(Stocked{-2}).
		Then(Seen{-2}).
		Sends()
	actors.Hears[Stocked](t, buyers, Seen{5}, Seen{-2}).From("stock-cup").
		When(Stocked{-2}).
		Then(Seen{-2}, Ordered{5}).
		Sends(fill.To("cup", Fill{5}).After(DeliveryTime))
	actors.Hears[Stocked](t, buyers, Seen{1}, Ordered{5}).From("stock-cup").
		When(Stocked{-1}).
		Then(Seen{-1}).
		Sends()
}

// What was sold is there again an hour later, once, whatever breaks down meanwhile.
func TestDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shop := actorstest.Start(t, stock, buyers)
		_, err := fill.Ask(t.Context(), shop, "cup", Fill{Count: 3})
		require.NoError(t, err)
		for range 3 {
			_, err := hold.Ask(t.Context(), shop, "cup", Hold{Count: 1})
			require.NoError(t, err)
			shop.Crash()
			<-time.After(time.Minute)
		}
		require.Equal(t, []any{Seen{3}, Seen{-1}, Seen{-1}, Ordered{5}, Seen{-1}}, shop.Events("buyer-cup"))
		shop.Crash()
		<-time.After(DeliveryTime)

		require.Equal(t, []any{Stocked{3}, Stocked{-1}, Stocked{-1}, Stocked{-1}, Stocked{5}}, shop.Events("stock-cup"))
		require.Equal(t, Seen{5}, shop.Events("buyer-cup")[5])
	})
}

// A customer who does not pay loses the goods after half an hour, also when the shop
// was closed meanwhile. One who has paid hears nothing more.
func TestPaymentTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shop := actorstest.Start(t, orders, stock, customers)
		_, err := fill.Ask(t.Context(), shop, "cup", Fill{Count: 5})
		require.NoError(t, err)
		_, err = payIn.Ask(t.Context(), shop, "ann", PayIn{Cents: 1000})
		require.NoError(t, err)
		for _, id := range []string{"1", "2"} {
			_, err := place.Ask(t.Context(), shop, id, Place(placed))
			require.NoError(t, err)
		}
		<-time.After(time.Minute)
		_, err = pay.Ask(t.Context(), shop, "1", Pay{})
		require.NoError(t, err)
		<-time.After(PaymentTime / 2)
		shop.Crash()
		<-time.After(PaymentTime)

		progress, err := look.Ask(t.Context(), shop, "1", Look{})
		require.NoError(t, err)
		require.Equal(t, Progress{Stage: "paid"}, progress)
		progress, err = look.Ask(t.Context(), shop, "2", Look{})
		require.NoError(t, err)
		require.Equal(t, Progress{Stage: "cancelled", Reason: "not paid in time"}, progress)
		require.Equal(t, []any{Stocked{5}, Stocked{-2}, Stocked{-2}, Stocked{2}}, shop.Events("stock-cup"))
	})
}
