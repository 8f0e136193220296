// One lane of the requantizer, requantizer_lane.lane_step: the search for the largest rank, and pass 2 in
// four stages or more. Where passes are MERGED the search has a multiplier of its own.
module requantizer_lane #(
    parameter bit MERGED          = 1'b1,
    parameter int LATENCY         = 4,    // no less than the four stages
    parameter int SUM_BITS        = 48,
    parameter int MULTIPLIER_BITS = 16,
    parameter int EXPONENT_BITS   = 10,
    parameter int SHIFT_BITS      = 8,
    parameter int CODE_BITS       = 16,
    parameter int RANK_BITS       = 12
) (
    input  logic                              clk,
    input  logic signed        [SUM_BITS-1:0] sum,
    input  logic signed   [EXPONENT_BITS-1:0] exponent,
    input  logic        [MULTIPLIER_BITS-1:0] multiplier,
    input  logic signed      [SHIFT_BITS-1:0] shift,
    input  logic signed        [SUM_BITS-1:0] written_sum,
    input  logic signed   [EXPONENT_BITS-1:0] written_exponent,
    input  logic        [MULTIPLIER_BITS-1:0] written_multiplier,
    input  logic signed      [SHIFT_BITS-1:0] written_shift,
    input  logic                              ranked,
    input  logic                              first,
    input  logic                        [3:0] search_form,
    input  logic signed       [RANK_BITS-1:0] top,
    input  logic                              own,
    input  logic signed       [RANK_BITS-1:0] joined,
    input  logic                              fixed,
    input  logic signed                 [7:0] fixed_exponent,
    input  logic                        [3:0] form_3,
    input  logic                        [3:0] form_4,
    output logic signed       [RANK_BITS-1:0] peak,
    output logic signed       [CODE_BITS-1:0] code,
    output logic                              saturated,
    output logic signed                 [7:0] stored,
    output logic                              clamped
);
  localparam int ScaledBits = SUM_BITS + MULTIPLIER_BITS;
  localparam int ScaledExponent = EXPONENT_BITS + 1;
  localparam int Kept = CODE_BITS + 3;
  localparam logic signed [RANK_BITS-1:0] Lowest = {1'b1, {(RANK_BITS - 1) {1'b0}}};

  // 1: times the real scale
  logic signed [ScaledBits-1:0] product, searched;
  logic signed [ScaledExponent-1:0] scaled_exponent, searched_exponent;
  requantizer_scale #(
      .SUM_BITS(SUM_BITS), .MULTIPLIER_BITS(MULTIPLIER_BITS), .EXPONENT_BITS(EXPONENT_BITS), .SHIFT_BITS(SHIFT_BITS)
  ) read (
      .clk(clk), .sum(sum), .sum_exponent(exponent), .multiplier(multiplier), .shift(shift),
      .product(product), .exponent(scaled_exponent)
  );
  for (genvar i = 0; i < 32'(MERGED); i++) begin : written
    requantizer_scale #(
        .SUM_BITS(SUM_BITS), .MULTIPLIER_BITS(MULTIPLIER_BITS), .EXPONENT_BITS(EXPONENT_BITS), .SHIFT_BITS(SHIFT_BITS)
    ) u (
        .clk(clk), .sum(written_sum), .sum_exponent(written_exponent), .multiplier(written_multiplier),
        .shift(written_shift), .product(searched), .exponent(searched_exponent)
    );
  end
  if (!MERGED) begin : separate
    assign searched = product;
    assign searched_exponent = scaled_exponent;
    logic unused;
    assign unused = ^{written_sum, written_exponent, written_multiplier, written_shift};
  end

  // the search, 2: the largest rank so far
  logic signed [RANK_BITS-1:0] rank, start;
  requantizer_rank #(.W(ScaledBits), .EXPONENT_BITS(ScaledExponent), .RANK_BITS(RANK_BITS)) u_rank (
      .acc(searched), .exponent(searched_exponent), .form(search_form), .rank(rank)
  );
  assign start = first ? Lowest : peak;
  always_ff @(posedge clk) if (ranked) peak <= start > rank ? start : rank;

  // 2: wait for the largest rank of the block
  logic signed [ScaledBits-1:0] product_2;
  logic signed [ScaledExponent-1:0] exponent_2;
  logic signed [RANK_BITS-1:0] top_1, top_2;
  always_ff @(posedge clk) begin
    top_1      <= top;
    product_2  <= product;
    exponent_2 <= scaled_exponent;
    top_2      <= own ? joined : top_1;
  end

  // 3: the exponent, and the shift that it asks for
  logic signed [7:0] found, chosen, stored_3;
  logic beyond, clamped_3;
  logic signed [RANK_BITS-1:0] places;
  logic signed [Kept-1:0] shifted, kept;
  requantizer_exponent #(.RANK_BITS(RANK_BITS)) u_exponent (
      .top(top_2), .form(form_3), .stored(found), .clamped(beyond)
  );
  assign chosen = fixed ? fixed_exponent : found;
  assign places = RANK_BITS'(exponent_2) - RANK_BITS'(chosen);
  requantizer_shift #(.W(ScaledBits), .WS(RANK_BITS), .CODE(CODE_BITS)) u_shift (
      .x(product_2), .s(places), .y(shifted)
  );
  always_ff @(posedge clk) begin
    kept      <= shifted;
    stored_3  <= chosen;
    clamped_3 <= beyond & ~fixed;
  end

  // 4: round, and as many cycles later as the pipeline is longer than four stages
  localparam int Last = LATENCY - 4;
  logic signed [CODE_BITS-1:0] whole, codes[Last+1];
  logic signed [7:0] stored_4[Last+1];
  logic outside, saturated_4[Last+1], clamped_4[Last+1];
  requantizer_round #(.KEPT(Kept), .CODE(CODE_BITS)) u_round (
      .kept(kept), .form(form_4), .code(whole), .saturated(outside)
  );
  for (genvar i = 0; i <= Last; i++) begin : stage
    always_ff @(posedge clk) begin
      codes[i]       <= i == 0 ? whole : codes[i==0?0:i-1];
      saturated_4[i] <= i == 0 ? outside : saturated_4[i==0?0:i-1];
      stored_4[i]    <= i == 0 ? stored_3 : stored_4[i==0?0:i-1];
      clamped_4[i]   <= i == 0 ? clamped_3 : clamped_4[i==0?0:i-1];
    end
  end
  assign code      = codes[Last];
  assign saturated = saturated_4[Last];
  assign stored    = stored_4[Last];
  assign clamped   = clamped_4[Last];
endmodule
