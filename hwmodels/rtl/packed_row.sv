// One row of elements that take several codes each: units.packed_row. As array_row, with a tag for each of
// the codes that enter together.
module packed_row #(
    parameter int COLUMNS         = 64,
    parameter int SLOT_BITS       = 8,
    parameter int MOVING_BITS     = 4,
    parameter int HELD_BITS       = 4,
    parameter int MOVING_EXPONENT = 0,                          // see element_product
    parameter int HELD_EXPONENT   = 0,
    parameter int PRODUCT_BITS    = MOVING_BITS + HELD_BITS,
    parameter int DROPPED         = 0,
    parameter int WINDOW_ROUNDING = 0,
    parameter int SUM_BITS        = 15,
    parameter int DEPTH           = 2,
    parameter int WIDTH           = 1,
    parameter int CHAINS          = 1,
    parameter bit OVERLAP         = 1'b1,
    parameter int WAVE            = SLOT_BITS + 4,              // {slot, last, fresh, swap, valid}
    parameter int TAG             = SLOT_BITS + CHAINS,         // {slot, on} of one code
    parameter int CODES           = DEPTH * MOVING_BITS,
    parameter int PASSED          = WIDTH * DEPTH * HELD_BITS,  // of one element
    parameter int SUMS            = WIDTH * CHAINS * SUM_BITS
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic           [WAVE-1:0] wave,
    input  logic                      load,
    input  logic      [DEPTH*TAG-1:0] tag,
    input  logic          [CODES-1:0] code,
    input  logic [COLUMNS*PASSED-1:0] passed,
    input  logic   [COLUMNS*SUMS-1:0] sum,
    output logic           [WAVE-1:0] wave_out,
    output logic                      load_out,
    output logic      [DEPTH*TAG-1:0] tag_out,
    output logic [COLUMNS*PASSED-1:0] passed_out,
    output logic   [COLUMNS*SUMS-1:0] sum_out,
    output logic   [COLUMNS*SUMS-1:0] total
);
  // down to the next row
  logic valid, swap, fresh, last, halfway;
  logic [SLOT_BITS-1:0] slot;
  always_ff @(posedge clk) begin
    valid    <= ~rst & wave[0];
    swap     <= ~rst & wave[1];
    fresh    <= wave[2];
    last     <= wave[3];
    slot     <= wave[4+:SLOT_BITS];
    halfway  <= ~rst & load;
    load_out <= ~rst & halfway;
  end
  assign wave_out = {slot, last, fresh, swap, valid};

  // the tags that stay: from the shadow register with the first codes of a fold, or as they come
  logic [TAG-1:0] tags[DEPTH], held[DEPTH];
  logic [DEPTH*TAG-1:0] own;
  logic [DEPTH*CHAINS-1:0] on;
  if (OVERLAP) begin : shadow
    logic [TAG-1:0] following[DEPTH];
    for (genvar d = 0; d < DEPTH; d++) begin : at
      always_ff @(posedge clk) begin
        if (load) following[d] <= tag[d*TAG+:TAG];
        held[d] <= own[d*TAG+:TAG];
      end
      assign own[d*TAG+:TAG] = wave[1] ? following[d] : held[d];
    end
  end else begin : plain
    for (genvar d = 0; d < DEPTH; d++) begin : at
      always_ff @(posedge clk) if (load) held[d] <= tag[d*TAG+:TAG];
      assign own[d*TAG+:TAG] = held[d];
    end
  end
  for (genvar d = 0; d < DEPTH; d++) begin : switch
    logic here;
    assign here = wave[0] && wave[4+:SLOT_BITS] == own[d*TAG+CHAINS+:SLOT_BITS];
    assign on[d*CHAINS+:CHAINS] = here ? own[d*TAG+:CHAINS] : '0;
    always_ff @(posedge clk) tags[d] <= tag[d*TAG+:TAG];
    assign tag_out[d*TAG+:TAG] = tags[d];
  end

  // the elements, and what goes from each to the next
  logic [(COLUMNS+1)*CODES-1:0] codes;
  logic [(COLUMNS+1)*DEPTH*CHAINS-1:0] ons;
  logic [COLUMNS:0] swaps, loads;
  assign codes[CODES-1:0] = code;
  assign ons[DEPTH*CHAINS-1:0] = on;
  assign swaps[0] = wave[1];
  assign loads[0] = load;
  for (genvar j = 0; j < COLUMNS; j++) begin : element
    packed_element #(
        .MOVING_BITS(MOVING_BITS), .HELD_BITS(HELD_BITS), .MOVING_EXPONENT(MOVING_EXPONENT),
        .HELD_EXPONENT(HELD_EXPONENT), .PRODUCT_BITS(PRODUCT_BITS), .DROPPED(DROPPED),
        .WINDOW_ROUNDING(WINDOW_ROUNDING), .SUM_BITS(SUM_BITS), .DEPTH(DEPTH), .WIDTH(WIDTH),
        .CHAINS(CHAINS), .OVERLAP(OVERLAP)
    ) u (
        .clk(clk),
        .code(codes[j*CODES+:CODES]),
        .on(ons[j*DEPTH*CHAINS+:DEPTH*CHAINS]),
        .swap(swaps[j]),
        .load(loads[j]),
        .passed(passed[j*PASSED+:PASSED]),
        .sum(sum[j*SUMS+:SUMS]),
        .code_out(codes[(j+1)*CODES+:CODES]),
        .on_out(ons[(j+1)*DEPTH*CHAINS+:DEPTH*CHAINS]),
        .swap_out(swaps[j+1]),
        .load_out(loads[j+1]),
        .passed_out(passed_out[j*PASSED+:PASSED]),
        .sum_out(sum_out[j*SUMS+:SUMS]),
        .total(total[j*SUMS+:SUMS])
    );
  end
  (* keep *) logic unused;  // the last element is like the others
  assign unused = ^{
      codes[COLUMNS*CODES+:CODES], ons[COLUMNS*DEPTH*CHAINS+:DEPTH*CHAINS], swaps[COLUMNS], loads[COLUMNS]
  };
endmodule
