// One sum as a code with an exponent of its own, encoder.code: as many of its leading bits as a significand
// has, to nearest even, or where GEOMETRIC the nearest power of two (where ROOTS too, of its root), under the
// exponent of its block. Where it is not SIGNED, what is negative is held at zero.
module encoder_code #(
    parameter int BITS          = 8,
    parameter int STORED_BITS   = 3,
    parameter bit HIDDEN        = 1'b1,
    parameter int LARGEST       = 126,
    parameter int FRACTION      = 11,
    parameter bit GEOMETRIC     = 1'b0,
    parameter bit SIGNED        = 1'b1,
    parameter bit ROOTS         = 1'b0,
    parameter int SUM_BITS      = 48,
    parameter int EXPONENT_BITS = 10
) (
    input  logic signed      [SUM_BITS-1:0] sum,
    input  logic signed [EXPONENT_BITS-1:0] exponent,
    input  logic signed               [7:0] stored,
    output logic                 [BITS-1:0] code,
    output logic                            saturated
);
  localparam int N = $clog2(SUM_BITS + 1);
  localparam int P = EXPONENT_BITS + 3;    // of a place
  localparam int W = P + STORED_BITS + 1;  // of a magnitude, however large
  logic [SUM_BITS-1:0] size, leading;
  logic [N-1:0] length;
  logic signed [P-1:0] place;
  logic [W-1:0] whole, held;
  assign size = sum < 0 ? SUM_BITS'(-sum) : SUM_BITS'(sum);
  bit_length #(.W(SUM_BITS)) u_length (.x(size), .n(length));
  assign leading = size << (N'(SUM_BITS) - length);
  assign place = $signed(P'(length)) + P'(exponent) - P'(stored) + P'(FRACTION);
  if (ROOTS) begin : half_octaves
    localparam logic [SUM_BITS-1:0] First = SUM_BITS'(64'd167366022499768);  // of the fourth root of two
    localparam logic [SUM_BITS-1:0] Third = SUM_BITS'(64'd236691298899613);
    logic signed [P:0] nearest;
    assign nearest = ((P + 1)'(place) <<< 1) - (P + 1)'(15) + $signed((P + 1)'(leading > First))
        + $signed((P + 1)'(leading > Third));
    assign whole = sum == 0 || nearest < 0 ? '0 : W'(nearest);
  end else if (GEOMETRIC) begin : logarithm
    localparam logic [SUM_BITS-1:0] Root = SUM_BITS'(64'd199032864766430);  // of two
    logic signed [P-1:0] nearest;
    assign nearest = place + $signed({{(P - 1) {1'b0}}, leading > Root});
    assign whole = sum == 0 || nearest < 0 ? '0 : W'(nearest);
  end else begin : floating
    localparam int Kept = STORED_BITS + 32'(HIDDEN);
    localparam int S = $clog2(SUM_BITS + 2);
    logic signed [P-1:0] beyond, own;
    logic [S-1:0] distance;
    logic signed [SUM_BITS:0] rounded;
    logic carried;
    assign beyond = place - P'(Kept);
    assign own = beyond < 0 ? '0 : beyond;
    assign distance = beyond > 0 ? S'(SUM_BITS - Kept) : place < 0 ? S'(SUM_BITS + 1) : S'(SUM_BITS) - place[S-1:0];
    round_shift #(.W(SUM_BITS + 1), .S(S), .ROUNDING(2)) u_round (
        .x($signed({1'b0, leading})), .s(distance), .y(rounded)
    );
    assign carried = ~HIDDEN & rounded[STORED_BITS];
    assign whole = sum == 0 ? '0 : (W'(own) << STORED_BITS) + W'(rounded[Kept:0])
        + (carried ? W'(1) << STORED_BITS >> 1 : '0);
    logic unused;
    assign unused = ^rounded;
  end
  localparam int M = BITS - 32'(SIGNED);
  logic beyond_largest;
  assign beyond_largest = whole > W'(LARGEST);
  assign saturated = beyond_largest | (!SIGNED & sum < 0);
  assign held = beyond_largest ? W'(LARGEST) : whole;
  if (SIGNED) begin : signed_
    assign code = {sum < 0 && held != 0, held[M-1:0]};
  end else begin : unsigned_
    assign code = sum < 0 ? '0 : held[M-1:0];
  end
  logic unused_high;
  assign unused_high = ^held[W-1:M];
endmodule
