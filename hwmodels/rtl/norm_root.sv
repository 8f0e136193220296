// From a row's sums to the reciprocal root of V + eps: norm_root.root_step. A row may come every cycle.
// The table lies in two memories, of even and of odd entries, so that neighbours are read at once; what is
// read arrives in the next cycle.
module norm_root #(
    parameter int NEWTON   = 1,                        // steps
    parameter int SEGMENTS = 96,                       // of the table, 3 times a power of two
    parameter int LATENCY  = 12,                       // of pass 1, to the root
    parameter int LOW      = 18 - $clog2(SEGMENTS),    // low bits of the mantissa, which interpolate
    parameter int ADDRESS  = $clog2(SEGMENTS / 2 + 1)
) (
    input  logic                clk,
    input  logic signed  [29:0] s1,
    input  logic         [43:0] s2,
    input  logic signed   [7:0] row_exponent,          // with the row's elements
    input  logic         [13:0] length,
    input  logic                centred,
    input  logic          [3:0] spare,
    input  logic         [15:0] epsilon,
    input  logic signed  [10:0] epsilon_exponent,
    input  logic         [18:0] even,
    input  logic         [18:0] odd,
    output logic  [ADDRESS-1:0] even_address,
    output logic  [ADDRESS-1:0] odd_address,
    output logic signed  [29:0] held_s1,
    output logic         [18:0] root,
    output logic          [4:0] held_half
);
  // the row's exponent waits for the sums
  logic signed [7:0] exponents[4];
  for (genvar i = 0; i < 4; i++) begin : wait_for_sums
    always_ff @(posedge clk) exponents[i] <= i == 0 ? row_exponent : exponents[i==0?0:i-1];
  end

  // 5: the products of V, and epsilon in its units
  logic signed [29:0] own_s1;
  logic signed [59:0] length_by_s2, s1_by_s1;
  logic signed [11:0] shift;
  logic signed [60:0] scaled_epsilon;
  logic        [57:0] length_squares;
  logic signed [59:0] sum_squared;
  logic        [59:0] epsilon_term;
  assign own_s1 = centred ? s1 : 30'sd0;
  assign shift  = 12'(epsilon_exponent) - ((12'(exponents[3]) - $signed({8'b0, spare})) <<< 1);
  multiplier #(.WA(15), .WB(45)) u_length (.a($signed({1'b0, length})), .b($signed({1'b0, s2})), .p(length_by_s2));
  multiplier #(.WA(30), .WB(30)) u_square (.a(own_s1), .b(own_s1), .p(s1_by_s1));
  scale #(.WX(17), .WS(12), .LIMIT(44)) u_epsilon (.x($signed({1'b0, epsilon})), .s(shift), .y(scaled_epsilon));
  always_ff @(posedge clk) begin
    length_squares <= length_by_s2[57:0];
    sum_squared    <= s1_by_s1;
    epsilon_term   <= scaled_epsilon[59:0];
  end

  // 6: V + eps, which is never negative
  logic [61:0] v;
  always_ff @(posedge clk) v <= 62'(length_squares) - 62'(sum_squared) + 62'(epsilon_term);

  // 7: its mantissa in [1, 4) by an even shift
  logic         [5:0] bits;
  logic         [4:0] half;
  logic signed  [6:0] even_shift;
  logic signed [78:0] shifted;
  logic        [17:0] normal;
  bit_length #(.W(62)) u_length_of_v (.x(v), .n(bits));
  assign half       = bits == 0 ? 5'd0 : 5'((bits - 6'd1) >> 1);
  assign even_shift = 7'sd16 - $signed({1'b0, half, 1'b0});
  scale #(.WX(63), .WS(7), .LIMIT(62), .LONGEST_LEFT(16), .ROUNDING(0)) u_normal (
      .x($signed({1'b0, v})),
      .s(even_shift),
      .y(shifted)
  );
  assign normal = shifted[17:16] == 0 ? 18'd65536 : shifted[17:0];  // only zero is below one

  // the mantissa stays for as long as Newton steps read it, s1 and the half exponent for as long as the root
  logic        [17:0] mantissa[3*NEWTON+1];
  logic signed [29:0] s1s[LATENCY-4];
  logic         [4:0] halves[LATENCY-6];
  for (genvar i = 0; i <= 3 * NEWTON; i++) begin : wait_for_newton
    always_ff @(posedge clk) mantissa[i] <= i == 0 ? normal : mantissa[i==0?0:i-1];
  end
  for (genvar i = 0; i < LATENCY - 4; i++) begin : wait_with_s1
    always_ff @(posedge clk) s1s[i] <= i == 0 ? own_s1 : s1s[i==0?0:i-1];
  end
  for (genvar i = 0; i < LATENCY - 6; i++) begin : wait_with_half
    always_ff @(posedge clk) halves[i] <= i == 0 ? half : halves[i==0?0:i-1];
  end

  // 8: which entries
  logic signed [18:0] position;
  logic odd_first;
  logic [LOW-1:0] low;
  assign position     = $signed({1'b0, mantissa[0]}) - 19'sd65536;
  assign odd_address  = ADDRESS'(position >>> (LOW + 1));
  assign even_address = ADDRESS'((position + 19'(1 << LOW)) >>> (LOW + 1));
  always_ff @(posedge clk) begin
    odd_first <= position[LOW];
    low       <= position[LOW-1:0];
  end

  // 9: the entries arrive and are interpolated
  localparam int Last = LATENCY - 9 - 2 * NEWTON;
  logic signed [19:0] between;
  logic [18:0] roots[Last+1];
  interpolate #(.W(20), .LOW(LOW)) u_between (
      .left ($signed({1'b0, odd_first ? odd : even})),
      .right($signed({1'b0, odd_first ? even : odd})),
      .low  (low),
      .y    (between)
  );
  always_ff @(posedge clk) roots[0] <= between[18:0];

  // 10: Newton steps of three stages each, and as many cycles later as the pipeline is longer
  for (genvar i = 0; i < NEWTON; i++) begin : newton
    logic [18:0] rough, better;
    logic [17:0] held;
    assign rough = roots[i];
    assign held  = mantissa[3*i+3];
    norm_newton u (.clk(clk), .root(rough), .mantissa(held), .better(better));
    always_ff @(posedge clk) roots[i+1] <= better;
  end
  for (genvar i = NEWTON + 1; i <= Last; i++) begin : later
    always_ff @(posedge clk) roots[i] <= roots[i-1];
  end
  assign root      = roots[Last];
  assign held_s1   = s1s[LATENCY-5];
  assign held_half = halves[LATENCY-7];

  logic unused;
  assign unused = ^{length_by_s2[59:58], scaled_epsilon[60], shifted[78:18], between[19]};
endmodule
